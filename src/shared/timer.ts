/** TIMER: one thing that happens later, as rooms ask for it, so that their tests own the time.
 *  Owns nothing. */

/** Forgets a timer; harmless when it has fired. */
export type Cancel = () => void;

/** Runs `action` once after `delayMs` unless it was cancelled before. */
export type After = (delayMs: number, action: () => void) => Cancel;

/** The real clock; the timer holds no process open. */
export const after: After = (delayMs, action) => {
  const timer = setTimeout(action, delayMs).unref();
  return () => clearTimeout(timer);
};
