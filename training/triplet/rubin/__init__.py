"""The triplet's model of Rubin's LSST: learned from stamps that the sandbox renders, checked on real ones."""
