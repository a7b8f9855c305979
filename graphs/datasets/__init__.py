"""Data sets that Ringtrace makes itself: a generated world of payments with planted rings and innocent
look-alikes."""
