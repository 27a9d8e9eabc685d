/** DOM: the few ways in which views touch the page. Owns nothing. Text enters by `textContent` alone, so that what a peer has
 *  chosen (a name, a destination, an ident) stays text. What has not changed is not touched: a screen reader, a selection and the
 *  focus stay where they are while numbers run. */

type Content = string | Node;

/** The element of index.html with this id. Throws where the page and its script do not fit. */
export function need<E extends HTMLElement>(id: string, type: new () => E): E {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new Error(`index.html has no ${type.name} with id ${id}`);
}

/** An element with a class (or none: ''), and what is in it. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...content: readonly Content[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== '') element.className = className;
  element.append(...content);
  return element;
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** `undefined` takes the attribute away. */
export function setAttribute(element: Element, name: string, value: string | undefined): void {
  if (value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function setHidden(element: HTMLElement, hidden: boolean): void {
  if (element.hidden !== hidden) element.hidden = hidden;
}

export function button(className: string, label: string, onClick: () => void): HTMLButtonElement {
  const element = make('button', className, label);
  element.type = 'button';
  element.addEventListener('click', onClick);
  return element;
}

/** One part of a list: what is in the page, and how it is brought up to date. */
export interface Part<T> {
  readonly element: HTMLElement;
  readonly update: (item: T) => void;
}

/** A list whose parts live as long as their item: those that stay are updated in place, and moved only where the order changed. */
export class KeyedList<T> {
  readonly #parent: HTMLElement;
  readonly #keyOf: (item: T) => string;
  readonly #create: (item: T) => Part<T>;
  readonly #parts = new Map<string, Part<T>>();

  constructor(parent: HTMLElement, keyOf: (item: T) => string, create: (item: T) => Part<T>) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#create = create;
  }

  /** @returns how many parts were taken away */
  update(items: readonly T[]): number {
    const focused = document.activeElement;
    const removed = this.#removeAllBut(new Set(items.map(this.#keyOf)));
    let next = this.#parent.firstElementChild;
    for (const item of items) {
      const key = this.#keyOf(item);
      const part = this.#parts.get(key) ?? this.#create(item);
      this.#parts.set(key, part);
      part.update(item);
      if (part.element === next) next = next.nextElementSibling;
      else this.#parent.insertBefore(part.element, next);
    }
    // A part that was moved has lost the focus on the way.
    if (focused instanceof HTMLElement && focused.isConnected && document.activeElement !== focused)
      focused.focus({ preventScroll: true });
    return removed;
  }

  /** Where the focus was in a part that goes, it stays at its place: the same control of the next part, or the list's region. */
  #removeAllBut(kept: ReadonlySet<string>): number {
    let removed = 0;
    for (const [key, { element }] of this.#parts) {
      if (kept.has(key)) continue;
      if (element.contains(document.activeElement)) passFocus(element);
      element.remove();
      this.#parts.delete(key);
      removed += 1;
    }
    return removed;
  }
}

function passFocus(from: HTMLElement): void {
  const neighbour = from.nextElementSibling ?? from.previousElementSibling;
  const role = document.activeElement?.getAttribute('data-control');
  const target = neighbour?.querySelector<HTMLElement>(`[data-control="${role}"]`);
  (target ?? from.closest<HTMLElement>('[tabindex]'))?.focus({ preventScroll: true });
}
