"""What every room stands on: errors, atomic files, locks, the cache, and how we speak. It knows no framework."""
