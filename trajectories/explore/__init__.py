"""Any web app as a suite, with nobody writing oracles: walked, understood by what its pages do,
demonstrated.
"""
