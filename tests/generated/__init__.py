"""Made-up input, each case known by its seed, and what may come of it: acceptance, or refusal in a message.

`benchmarks/faults.py` tries thousands of them, the slow tests some.
"""
