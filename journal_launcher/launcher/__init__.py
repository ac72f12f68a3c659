"""The parent: starts, watches and stops workers. Never imports torch, catboost, sklearn, pandas."""
