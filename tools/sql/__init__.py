"""The SQL analyst: databases behind a guard and a second wall, what a model sees of them, charts, and `SQLAnalystPipeline`."""
