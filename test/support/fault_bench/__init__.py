"""Player, injectors, node and a watcher as real processes: what does a user see when cameras fail?"""
