/** SCENARIOS: all that a run may measure, in the order of the report. Owns nothing. */
import type { Scenario } from '../types.js';
import { bulk } from './bulk.js';
import { echo } from './echo.js';
import { forwards } from './forwards.js';
import { handoff } from './handoff.js';
import { http } from './http.js';
import { idle } from './idle.js';
import { login } from './login.js';
import { longpath } from './longpath.js';
import { open } from './open.js';
import { scale } from './scale.js';
import { stalled } from './stalled.js';

// One a line, so that two who add one do not meet.
export const SCENARIOS: readonly Scenario[] = [
  bulk, //
  login,
  http,
  echo,
  open,
  idle,
  forwards,
  scale,
  handoff,
  longpath,
  stalled,
];
