// The answer of `GET health`.

export interface Hold {
  name: string;
  effect: string;
  reason: string;
  placed_at?: number;
  since?: number;
  until: number | null;
}

/** The state of a target, or of a key of a provider. `workers` are the workers in each state. */
export interface TargetState {
  provider: string;
  model: string;
  key?: string;
  operation?: string;
  state: string;
  since: number;
  reason: string;
  workers: Record<string, number>;
}

export interface Health {
  holds: Hold[];
  states: TargetState[];
  suspecting_workers: number;
}
