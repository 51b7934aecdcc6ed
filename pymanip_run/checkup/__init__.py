"""Is this computer fit for a long measurement: what ``pymanip-run doctor`` looks at.

Each look gives findings and ends soon, whatever an instrument bus or a network disk does.
"""
