/** DIALOGS: questions that wait for an answer: is it meant, and what is the token. Owns the three <dialog>s of the page, which keep
 *  the focus inside and give it back. */
import { make, need, setHidden, setText } from './dom.js';

export interface Question {
  readonly title: string;
  /** One paragraph each. */
  readonly text: readonly string[];
  /** What the button says that does it: a verb. */
  readonly yes: string;
  readonly danger: boolean;
}

/** @returns true where it was meant; Escape and "Cancel" are no */
export function confirm({ title, text, yes, danger }: Question): Promise<boolean> {
  const dialog = need('confirm', HTMLDialogElement);
  const accept = need('confirm-yes', HTMLButtonElement);
  setText(need('confirm-title', HTMLHeadingElement), title);
  need('confirm-text', HTMLDivElement).replaceChildren(...text.map((line) => make('p', '', line)));
  setText(accept, yes);
  accept.classList.toggle('danger', danger);
  return asked(dialog);
}

/** What an order came to, where that is more than a line. */
export async function tell(title: string, text: string, lines: readonly string[]): Promise<void> {
  const dialog = need('report', HTMLDialogElement);
  setText(need('report-title', HTMLHeadingElement), title);
  setText(need('report-text', HTMLParagraphElement), text);
  need('report-lines', HTMLUListElement).replaceChildren(...lines.map((line) => make('li', '', line)));
  await asked(dialog);
}

/** @param refused the one before was not the right one @returns '' where none was given */
export async function askToken(refused: boolean): Promise<string> {
  const dialog = need('token', HTMLDialogElement);
  const input = need('token-value', HTMLInputElement);
  const error = need('token-error', HTMLParagraphElement);
  setHidden(error, !refused);
  input.value = '';
  input.setAttribute('aria-invalid', String(refused));
  const given = await asked(dialog);
  const token = input.value.trim();
  // The field keeps no copy.
  input.value = '';
  return given ? token : '';
}

/** A dialog's form is never sent (the policy of the page forbids it): its submission closes the dialog with a yes. */
function asked(dialog: HTMLDialogElement): Promise<boolean> {
  const form = dialog.querySelector('form');
  const onSubmit = (event: SubmitEvent): void => {
    event.preventDefault();
    dialog.close('yes');
  };
  const onClick = (event: MouseEvent): void => {
    // Of the dialog itself there is only the backdrop to be clicked.
    const { target } = event;
    if (target === dialog || (target instanceof Element && target.closest('[data-close]') !== null)) dialog.close('no');
  };
  return new Promise((resolve) => {
    form?.addEventListener('submit', onSubmit);
    dialog.addEventListener('click', onClick);
    dialog.addEventListener(
      'close',
      () => {
        form?.removeEventListener('submit', onSubmit);
        dialog.removeEventListener('click', onClick);
        resolve(dialog.returnValue === 'yes');
      },
      { once: true },
    );
    dialog.returnValue = 'no';
    dialog.showModal();
  });
}

/** Is one of them open? There is one at a time. */
export function isAsking(): boolean {
  return document.querySelector('dialog[open]') !== null;
}
