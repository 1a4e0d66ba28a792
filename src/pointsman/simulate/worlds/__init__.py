"""Simulated worlds: a deterministic discrete-event simulator whose router is the production core.

world, scenarios, random_worlds   data: providers, traffic, faults
physics, limiter                  the times, failures and limits of providers
arrivals                          requests, synthetic or from a trace
simulation, workers               the loop of events, and the workers that decide
contender, policies               routers: strategies of the core, rules of other products, an oracle
results, compare                  measures and tables
"""
