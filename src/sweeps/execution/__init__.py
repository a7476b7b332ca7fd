"""Where trials run: in this process, in worker processes, on a Dask cluster, or by any launcher of Hydra."""
