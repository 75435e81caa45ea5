import type { fi } from './fi'

/** The name of a text, and of its recorded clip. */
export type Key = keyof typeof fi

/** All that the kiosk says in one language; a key that is missing does not compile. */
export type Texts = Record<Key, string>
