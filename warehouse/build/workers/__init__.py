"""A lake's build by many processes: dbt's graph, handed out node by node over a queue on the catalogs' Postgres.

- `queue`: the queue, which is procrastinate's, and what stands beside it: the build, what came of nodes, the fence
- `office`: the builder's side, which hands out, waits, and hands out again what a lost worker had
- `worker`: the other side, a process that builds one node after the other
- `tasks`: what dbt runs on either side, in the place of its own build
"""
