"""The claims, repeatable: one module per benchmark, each with a ``run(*, quick)`` function.

`aktes_xr.bench.checks` holds what they share: a check, a table, how both are printed and kept.
"""
