import i18next from 'i18next'
import { initReactI18next, useTranslation } from 'react-i18next'
import { ar } from './ar'
import type { Catalogue } from './catalogue'
import { en } from './en'
import { fi } from './fi'

declare module 'i18next' {
  interface CustomTypeOptions {
    resources: { translation: Catalogue }
  }
}

export type Language = 'fi' | 'en' | 'ar'

/**
 * The languages of the pages. `reviewed` names who signed the texts as a native
 * reader; until somebody has, legal notices show the Finnish text beside.
 */
export const languages: Record<Language, { dir: 'ltr' | 'rtl'; locale: string; reviewed: boolean; staff: boolean }> = {
  fi: { dir: 'ltr', locale: 'fi-FI', reviewed: true, staff: true },
  en: { dir: 'ltr', locale: 'en-GB', reviewed: true, staff: true },
  // The locale is explicit: digits as in the applicant's own papers here.
  ar: { dir: 'rtl', locale: 'ar-AE-u-nu-latn-ca-gregory', reviewed: false, staff: false },
}

const kept = 'kuule.language'

export function isLanguage(text: string | null): text is Language {
  return text !== null && Object.hasOwn(languages, text)
}

/** Readies the texts. The choice outlives a sign-in's round trip, not the window. */
export function startTexts() {
  const saved = sessionStorage.getItem(kept)
  void i18next.use(initReactI18next).init({
    resources: { fi: { translation: fi }, en: { translation: en }, ar: { translation: ar } },
    lng: isLanguage(saved) ? saved : 'fi',
    fallbackLng: 'fi',
    initAsync: false,
    interpolation: { escapeValue: false }, // React escapes
  })
  i18next.on('languageChanged', mark)
  mark(i18next.language)
}

export function setLanguage(language: Language) {
  sessionStorage.setItem(kept, language)
  void i18next.changeLanguage(language)
}

/** Back to the beginning, for a device that the next person walks up to. */
export function forgetLanguage() {
  sessionStorage.removeItem(kept)
  void i18next.changeLanguage('fi')
}

function mark(language: string) {
  if (!isLanguage(language)) return
  document.documentElement.lang = language
  document.documentElement.dir = languages[language].dir
}

/** Words beside each other, with the comma of the language in use. */
export function listed(words: readonly string[]): string {
  return words.length === 0 ? '' : words.reduce((first, second) => i18next.t('shared.beside', { first, second }))
}

/** The texts and formats of the language in use. */
export function useTexts() {
  const { t, i18n } = useTranslation()
  const language: Language = isLanguage(i18n.language) ? i18n.language : 'fi'
  const { locale, reviewed, dir } = languages[language]
  const format = (options: Intl.DateTimeFormatOptions) => (unixSeconds: number) =>
    new Intl.DateTimeFormat(locale, options).format(unixSeconds * 1000)
  return {
    t,
    language,
    locale,
    reviewed,
    dir,
    number: (value: number) => new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(value),
    time: format({ hour: '2-digit', minute: '2-digit' }),
    day: format({ weekday: 'long', day: 'numeric', month: 'long' }),
    date: format({ day: 'numeric', month: 'numeric', year: 'numeric' }),
    moment: format({ day: 'numeric', month: 'numeric', year: 'numeric', hour: '2-digit', minute: '2-digit' }),
  }
}

/** A span of the hearing clock as people read it: 4:05 or 1:04:05. */
export function clockText(micros: number): string {
  const seconds = Math.max(0, Math.floor(micros / 1_000_000))
  const two = (n: number) => String(n).padStart(2, '0')
  const h = Math.floor(seconds / 3600)
  const m = Math.floor(seconds / 60) % 60
  return h > 0 ? `${h}:${two(m)}:${two(seconds % 60)}` : `${m}:${two(seconds % 60)}`
}
