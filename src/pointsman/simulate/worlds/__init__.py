"""Simulated worlds: a deterministic discrete-event simulator whose router is the production core.

world, scenarios, random_worlds   data: providers, traffic, faults
physics, limiter                  the times, failures and limits of providers
arrivals, replay                  requests: synthetic ones, and those of a trace or of the gateway's own log
agenda, simulation                the events of a run, and the course of each request
worker, workers, exchange         the workers that decide, and the health that they share
lessons                           the facts that a worker learns from an attempt
contender, policies               routers: strategies of the core, rules of other products, an oracle
fleet, own                        configurations: of a world's providers, and a user's own as a world
compare, results, chart           runs of several routers, their measures, and a chart of them
"""
