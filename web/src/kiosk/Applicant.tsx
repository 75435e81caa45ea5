import { useCallback, useEffect, useRef, useState } from 'react'
import { Button } from '../ui/controls'
import type { Key } from './texts'

/** Bounds of the number of the document of an applicant; kiosk-bridge/register.go has the same. */
const shortest = 4
const longest = 20

/** The keys of the touch keyboard, in rows. */
const keys = ['0123456789', 'ABCDEFGHIJ', 'KLMNOPQRST', 'UVWXYZ'].map((row) => Array.from(row))

/** Somebody who types leaves more time between two keys; a scanner that types does not. */
const scannerPause = 50

/** A typed or scanned symbol as registers write it; '' for what is none. */
function letter(key: string): string {
  const k = key.toUpperCase()
  return /^[A-Z0-9]$/.test(k) ? k : ''
}

/** The number of the document of an applicant, which has no chip: touched, typed, or read by a scanner that types. */
export function Applicant({ t, onNumber }: { t: (key: Key) => string; onNumber: (number: string, scanned: boolean) => void }) {
  const [number, show] = useState('')
  // A scanner types faster than a page is drawn: what was typed is kept beside what is shown.
  const typed = useRef({ number: '', at: 0, quick: 0 })
  const write = useCallback((text: string) => {
    typed.current.number = text.slice(0, longest)
    show(typed.current.number)
  }, [])
  const touch = (key: string) => {
    typed.current.quick = 0
    write(number + key)
  }
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return
      const now = typed.current
      now.quick = event.timeStamp - now.at < scannerPause ? now.quick + 1 : 0
      now.at = event.timeStamp
      if (event.key === 'Backspace') write(now.number.slice(0, -1))
      else if (event.key === 'Enter' && now.number.length >= shortest && !(event.target instanceof HTMLButtonElement)) onNumber(now.number, now.quick >= now.number.length)
      else if (event.key.length === 1) write(now.number + letter(event.key))
    }
    window.addEventListener('keydown', key)
    return () => window.removeEventListener('keydown', key)
  }, [onNumber, write])
  return (
    <div className="code">
      <output dir="ltr" aria-label={t('applicant.label')}>
        {number || '····'}
      </output>
      <div className="keys" dir="ltr" role="group" aria-label={t('code.keys')}>
        {keys.map((row) => (
          <div key={row.join('')}>
            {row.map((k) => (
              <Button key={k} look="secondary" isDisabled={number.length === longest} onPress={() => touch(k)}>
                {k}
              </Button>
            ))}
            {row.includes('Z') && (
              <Button look="secondary" aria-label={t('code.delete')} isDisabled={number === ''} onPress={() => write(number.slice(0, -1))}>
                ⌫
              </Button>
            )}
          </div>
        ))}
      </div>
      <Button large wide isDisabled={number.length < shortest} onPress={() => onNumber(number, false)}>
        {t('next')}
      </Button>
    </div>
  )
}
