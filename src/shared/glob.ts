/** GLOB: does a text match a pattern with `*` in it?
 *  Owns nothing. Pure; compares as it stands, so the caller has both in one case. */

/** `*` stands for any text, also none; `?` for one character where `questionMark` says so, else for itself. Goes back to the last star only, so that hostile text costs length times length
 *  at most, where a regular expression made from the glob could take exponential time. */
export function matchesGlob(glob: string, text: string, { questionMark = false } = {}): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let index = 0;
  while (index < text.length) {
    if (glob[at] === '*') {
      star = at++;
      resume = index;
    } else if (glob[at] === text[index] || (questionMark && glob[at] === '?')) {
      at++;
      index++;
    } else if (star !== -1) {
      at = star + 1;
      index = ++resume;
    } else return false;
  }
  while (glob[at] === '*') at++;
  return at === glob.length;
}
