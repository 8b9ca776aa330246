"""The benchmark: portline next to other bridges, as ratios of one interleaved run (`make bench`)."""
