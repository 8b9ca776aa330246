"""The benchmark: portline next to its peers, as ratios of one interleaved run (`make bench`)."""
