"""Statistics of results: intervals and paired differences, with numpy and scipy.special alone."""
