from journal_launcher.base.seeds import trial_seed


def test_seeds_are_fixed_for_ever_and_differ_by_every_part() -> None:
    assert trial_seed(0, 0) == 1956219353
    seeds = {
        trial_seed(seed, number, purpose)
        for seed in range(20)
        for number in range(50)
        for purpose in ("train", "sampler")
    }
    assert len(seeds) == 2000
    assert all(0 <= seed < 2**32 for seed in seeds)
