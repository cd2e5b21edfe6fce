"""Any desktop application as a suite, with nobody writing oracles: walked as `trajectories/explore/` walks a
site, demonstrated, replayed on a fresh desktop.
"""
