import { useCallback, useEffect, useState } from 'react'
import { send } from '../api/session'
import type * as words from '../api/words'
import { useTexts } from '../i18n'
import { Button, Notice, Section } from '../ui/controls'

interface Taken {
  format: string
  image: string | null
}

/** One comparison of the room terminal's picture with the kiosk's: advice, in words. */
export interface Compared {
  n: number
  occasion: 'entered' | 'returned' | 'break' | 'asked'
  at: string // RFC 3339
  word: 'same' | 'other' | 'not-sure' | 'not-compared'
  reason: string
  engine: string
  threshold: string
  unmeasured: boolean
  said: '' | 'confirmed' | 'doubted'
}

interface Told {
  missing: '' | 'no-engine' | 'no-reference'
  asked: boolean
  compared: Compared[] | null
}

const pollEvery = 5_000

/** The picture that the kiosk took, as an address; '' where there is none. */
function usePicture(path: string): string {
  const [address, setAddress] = useState('')
  useEffect(() => {
    let made = ''
    let gone = false
    const show = (taken: Taken) => {
      if (gone || taken.format === '' || taken.image === null) return
      const bytes = Uint8Array.from(atob(taken.image), (c) => c.charCodeAt(0))
      made = URL.createObjectURL(new Blob([bytes], { type: taken.format }))
      setAddress(made)
    }
    // An extra: without it the interviewer looks at the live picture alone.
    send<Taken>('GET', path).then(show, () => undefined)
    return () => {
      gone = true
      if (made !== '') URL.revokeObjectURL(made)
      setAddress('')
    }
  }, [path])
  return address
}

/**
 * The picture that the kiosk took, beside the live one, with what a machine makes
 * of the two: the interviewer says who it is, on entering and after each absence
 * (B21). The machine's word is advice and nobody else sees it. `outside`: the
 * person waits at the door, and there is no live picture yet.
 */
export function Portrait({ hearing, participant, name, outside = false }: { hearing: words.HearingID; participant: words.ParticipantID; name: string; outside?: boolean }) {
  const { t, time } = useTexts()
  const of = (what: string) => `/api/hearings/${encodeURIComponent(hearing)}/${what}/${encodeURIComponent(participant)}`
  const path = of('faces')
  const address = usePicture(of('portraits'))
  const [told, setTold] = useState<Told | null>(null)
  const [said, setSaid] = useState<{ what: 'confirmed' | 'doubted'; n: number; at: number } | null>(null)
  const look = useCallback(() => send<Told>('GET', path).then(setTold, () => undefined), [path])
  useEffect(() => {
    void look()
    const timer = setInterval(() => void look(), pollEvery)
    return () => clearInterval(timer)
  }, [look])
  if (told === null) return null
  const newest = told.compared?.at(0)
  if (address === '' && newest === undefined) {
    return told.missing === 'no-reference' ? <p className="small">{t('staff.room.portrait.missing.no-reference')}</p> : null
  }
  // What was said holds until the next comparison.
  const known = newest !== undefined && newest.said !== '' ? { what: newest.said, at: said?.n === newest.n ? said.at : Date.parse(newest.at) } : said !== null && said.n === (newest?.n ?? 0) ? said : null
  const say = (what: 'confirmed' | 'doubted') =>
    void send<undefined>('POST', `${path}/said`, { said: what }).then(
      () => {
        setSaid({ what, n: newest?.n ?? 0, at: Date.now() })
        void look()
      },
      () => undefined,
    )
  const again = () => void send<undefined>('POST', `${path}/asked`).then(look, () => undefined)
  const mayAsk = told.missing === ''
  if (known?.what === 'confirmed' && !outside) {
    return (
      <div className="row spread recognised" role="status">
        <span className="small">{t('staff.room.portrait.confirmed', { name, time: time(known.at / 1000) })}</span>
        {mayAsk && (
          <Button look="quiet" isDisabled={told.asked} onPress={again}>
            {t('staff.room.portrait.again')}
          </Button>
        )}
        {told.asked && <span className="small">{t('staff.room.portrait.asked')}</span>}
      </div>
    )
  }
  return (
    <Section title={outside ? t('staff.room.portrait.kiosk') : t('staff.room.portrait.title', { name })} className="card stack tight portrait">
      {address !== '' && <img src={address} alt={t('staff.room.portrait.alt', { name })} width={160} />}
      <p className="small">{t(outside ? 'staff.room.portrait.outside' : 'staff.room.portrait.help')}</p>
      {newest !== undefined && <Advice of={newest} />}
      {newest === undefined && told.missing !== '' && <p className="small">{t(`staff.room.portrait.missing.${told.missing}`)}</p>}
      {known?.what === 'doubted' && <Notice kind="warning" title={t('staff.room.portrait.doubted')} />}
      {told.asked && (
        <p className="small" role="status">
          {t('staff.room.portrait.asked')}
        </p>
      )}
      <div className="row">
        {!outside && (
          <>
            <Button look="secondary" onPress={() => say('confirmed')}>
              {t('staff.room.portrait.confirm', { name })}
            </Button>
            <Button look="quiet" onPress={() => say('doubted')}>
              {t('staff.room.portrait.doubt')}
            </Button>
          </>
        )}
        {mayAsk && (
          <Button look="quiet" isDisabled={told.asked} onPress={again}>
            {t('staff.room.portrait.again')}
          </Button>
        )}
      </div>
    </Section>
  )
}

const reasons = ['camera-gone', 'declined', 'several-faces', 'no-face', 'engine-absent'] as const

/** What the machine says: words, which machine, by which line. No number, no bar. */
function Advice({ of: c }: { of: Compared }) {
  const { t, time } = useTexts()
  return (
    <div className={`advice ${c.word}`} role="status">
      <p>
        <strong>{`${t('staff.room.portrait.machine')}: ${t(`staff.room.portrait.word.${c.word}`)}`}</strong>{' '}
        <span className="quiet">{`(${t(`staff.room.portrait.occasion.${c.occasion}`)} ${time(Date.parse(c.at) / 1000)})`}</span>
      </p>
      {c.word === 'not-compared' && <p className="small">{t(`staff.room.portrait.why.${reasons.find((r) => r === c.reason) ?? 'other'}`)}</p>}
      {c.engine !== '' && (
        <p className="small quiet">
          {c.unmeasured && `${t('staff.room.portrait.unmeasured')}: `}
          <code dir="ltr">{c.engine}</code>
          {c.threshold !== '' && `, ${t('staff.room.portrait.line', { threshold: c.threshold })}`}
        </p>
      )}
    </div>
  )
}
