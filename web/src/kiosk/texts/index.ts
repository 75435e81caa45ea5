import { ar } from './ar'
import type { Key, Texts } from './catalogue'
import { ckb } from './ckb'
import { en } from './en'
import { fa } from './fa'
import { fi } from './fi'
import { fr } from './fr'
import { kmr } from './kmr'
import { prs } from './prs'
import { ps } from './ps'
import { ru } from './ru'
import { so } from './so'
import { sv } from './sv'
import { tr } from './tr'
import { uk } from './uk'

export type { Key, Texts } from './catalogue'

interface Spoken {
  name: string // as its speakers write it
  dir: 'ltr' | 'rtl'
  locale: string // of times; digits as on the person's own papers here
  /** Whether somebody has signed the texts as a native reader; until then they are machine-made. */
  reviewed: boolean
  texts: Texts
}

/** The kiosk's languages, in the order in which they are offered. */
export const tongues = {
  fi: { name: 'Suomi', dir: 'ltr', locale: 'fi-FI', reviewed: true, texts: fi },
  sv: { name: 'Svenska', dir: 'ltr', locale: 'sv-FI', reviewed: false, texts: sv },
  en: { name: 'English', dir: 'ltr', locale: 'en-GB', reviewed: true, texts: en },
  ar: { name: 'العربية', dir: 'rtl', locale: 'ar-AE-u-nu-latn-ca-gregory', reviewed: false, texts: ar },
  so: { name: 'Soomaali', dir: 'ltr', locale: 'so-SO', reviewed: false, texts: so },
  fa: { name: 'فارسی', dir: 'rtl', locale: 'fa-IR-u-nu-latn-ca-gregory', reviewed: false, texts: fa },
  prs: { name: 'دری', dir: 'rtl', locale: 'fa-AF-u-nu-latn-ca-gregory', reviewed: false, texts: prs },
  ru: { name: 'Русский', dir: 'ltr', locale: 'ru-RU', reviewed: false, texts: ru },
  uk: { name: 'Українська', dir: 'ltr', locale: 'uk-UA', reviewed: false, texts: uk },
  ckb: { name: 'سۆرانی', dir: 'rtl', locale: 'ckb-IQ-u-nu-latn-ca-gregory', reviewed: false, texts: ckb },
  kmr: { name: 'Kurmancî', dir: 'ltr', locale: 'ku-TR', reviewed: false, texts: kmr },
  tr: { name: 'Türkçe', dir: 'ltr', locale: 'tr-TR', reviewed: false, texts: tr },
  ps: { name: 'پښتو', dir: 'rtl', locale: 'ps-AF-u-nu-latn-ca-gregory', reviewed: false, texts: ps },
  fr: { name: 'Français', dir: 'ltr', locale: 'fr-FR', reviewed: false, texts: fr },
} as const satisfies Record<string, Spoken>

export type Tongue = keyof typeof tongues

export const all = Object.keys(tongues) as Tongue[]

export function isTongue(text: string): text is Tongue {
  return Object.hasOwn(tongues, text)
}

/** A language's own name; the code itself for what this page does not know. */
export function nameOf(code: string): string {
  return isTongue(code) ? tongues[code].name : code
}

/** A text of a language, with the seconds filled in where it has any. */
export function say(tongue: Tongue, key: Key, seconds = 0): string {
  return tongues[tongue].texts[key].replace('{seconds}', String(seconds))
}

/** A time of day, seconds since 1970, as a wall clock shows it. */
export function clock(tongue: Tongue, unixSeconds: number): string {
  return new Intl.DateTimeFormat(tongues[tongue].locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(unixSeconds * 1000)
}
