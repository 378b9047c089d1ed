"""A stand-in for Stripe: what `python -m publish stripe` asks of it, with its memory, its delays and its failures.

It is stateful, lives in memory, and answers the official library. What it refuses, Stripe refuses: tests of the
protocol drive it with that library. It moves no money, but tests can pay, refund and dispute (`Account`).
"""
