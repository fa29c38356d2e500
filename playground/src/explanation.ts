import { element } from '../../viewer/src/panel/element.js';

/** Sentences as a list; those that begin with a space belong to the sentence before them. */
export function explanation(sentences: readonly string[], attributes: Record<string, string> = {}): HTMLElement {
  return element(
    'ul',
    { ...attributes },
    ...sentences.map((words) => element('li', words.startsWith(' ') ? { class: 'further' } : {}, words.trim())),
  );
}
