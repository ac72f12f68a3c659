"""What people look at while a launch runs and when it has ended, all of it on stderr.

`view.make_view` chooses: a live region for a terminal, plain lines elsewhere, nothing with `-q`.
Each view folds the events of a launch into a `board.Board` and draws that; `words` holds what both
say, `summary` the closing words and the results for stdout.
"""
