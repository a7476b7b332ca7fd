"""The story of a sweep, top to bottom: plan and check every study, run it, report it, register its winner."""
