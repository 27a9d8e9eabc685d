/** SCENARIOS: all that a run may measure, in the order of the report. Owns nothing. */
import type { Scenario } from '../types.js';
import { bulk } from './bulk.js';
import { forwards } from './forwards.js';
import { handoff } from './handoff.js';
import { idle } from './idle.js';
import { login } from './login.js';
import { open } from './open.js';
import { scale } from './scale.js';
import { stalled } from './stalled.js';

export const SCENARIOS: readonly Scenario[] = [
  login, //
  bulk,
  open,
  idle,
  forwards,
  scale,
  stalled,
  handoff,
];
