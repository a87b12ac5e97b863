"""The estimators, and the functions that prepare and open them."""
