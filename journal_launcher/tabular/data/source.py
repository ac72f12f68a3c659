"""Where a table comes from, and everything that shapes what is made of it."""

from dataclasses import dataclass, fields

from journal_launcher.base.data_source import data_source

__all__ = ["TableSource"]


@dataclass(frozen=True)
class TableSource:
    """A table as asked for; the fields are named and chosen from like the options of a launch.

    data: a file, or sklearn:NAME. target: its column; only CSV and Parquet files need one. task:
    "auto", "regression" or "classification". metric: None for the task's own. date_order: of dates
    whose order nothing shows. strict_data: refuse a table that there are doubts about.
    target_in_units: rows that are equal in the target too stay together, and no others: so studies
    began whose split does not say what `equal_rows` do. texts: text of several words is a feature;
    False for studies that began when it was left out.
    """

    data: str
    seed: int
    target: str | None = None
    task: str = "auto"
    metric: str | None = None
    k_folds: int = 5
    test_size: float = 0.2
    split: str = "auto"
    group_column: str | None = None
    time_column: str | None = None
    weight_column: str | None = None
    date_order: str | None = None
    strict_data: bool = False
    target_in_units: bool = False
    texts: bool = True

    @classmethod
    def of(
        cls, settings: object, seed: int, *, target_in_units: bool = False, texts: bool = True
    ) -> "TableSource":
        """The table that a launch with these settings asks for."""
        of_a_study = ("seed", "target_in_units", "texts")
        given = {f.name: getattr(settings, f.name) for f in fields(cls) if f.name not in of_a_study}
        return cls(seed=seed, target_in_units=target_in_units, texts=texts, **given)

    @property
    def location(self) -> str:
        """The data's name wherever this process stands: a file's with its absolute path."""
        return data_source(self.data)
