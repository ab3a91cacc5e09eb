"""How strong the evidence for a β vector is: tests of reversion, basis ratios, and which vectors are accepted."""
