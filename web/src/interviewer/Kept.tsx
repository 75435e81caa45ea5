import { useEffect, useState } from 'react'
import { api, type HearingQuality, type Keeping, type LossCause } from '../api/http'
import type { HearingID } from '../api/words'
import { useTexts } from '../i18n'
import { Notice, Section } from '../ui/controls'

const causes: LossCause[] = ['disconnected', 'narrow', 'loss', 'delay']

/** How long what a hearing left is kept and why, and how well the connections carried it (L1, L2, L3, L6, M4). What cannot be had is left out. */
export function Kept({ hearing }: { hearing: HearingID }) {
  const [keeping, setKeeping] = useState<Keeping | null>(null)
  const [quality, setQuality] = useState<HearingQuality | null>(null)
  useEffect(() => {
    api.keeping(hearing).then(setKeeping, () => setKeeping(null))
    api.quality(hearing).then(setQuality, () => setQuality(null))
  }, [hearing])
  return (
    <>
      {keeping !== null && <Periods keeping={keeping} />}
      {quality !== null && <Lost quality={quality} />}
    </>
  )
}

function Periods({ keeping }: { keeping: Keeping }) {
  const { t, date } = useTexts()
  const on = (day: string | undefined) => (day === undefined ? '' : date(Date.parse(day) / 1000))
  const holds = keeping.holds.filter((h) => h.lifted_at === undefined)
  const notes = (['special', 'observation'] as const).filter((c) => keeping.notes[c] > 0)
  return (
    <Section title={t('staff.kept.title')}>
      {holds.length > 0 && (
        <Notice kind="info" title={t('staff.kept.held')}>
          <ul>
            {holds.map((h) => (
              <li key={h.hold}>{t('staff.kept.hold', { ground: t(`staff.kept.ground.${h.ground}`), date: date(h.placed_at / 1000) })}</li>
            ))}
          </ul>
        </Notice>
      )}
      <dl className="stack tight">
        {keeping.classes.map((k) => (
          <div key={k.class}>
            <dt>{t(`staff.kept.class.${k.class}`)}</dt>
            <dd>
              {t(`staff.kept.state.${k.state}`, { date: on(k.state === 'erased' ? k.erased : k.until) })} <span className="quiet small">{t(`staff.kept.why.${k.class}`)}</span>
            </dd>
          </div>
        ))}
        {notes.map((c) => (
          <div key={c}>
            <dt>{t(`staff.kept.notes.${c}`, { count: keeping.notes[c] })}</dt>
            <dd>
              {c === 'observation' && keeping.notes.until !== undefined && `${t('staff.kept.state.running', { date: on(keeping.notes.until) })} `}
              <span className="quiet small">{t(`staff.kept.noteWhy.${c}`)}</span>
            </dd>
          </div>
        ))}
        <div>
          <dt>{t('staff.kept.secrecy')}</dt>
          <dd>
            <strong lang="fi">{keeping.marked}</strong> <span className="quiet small">{t('staff.kept.secrecyWhy')}</span>
          </dd>
        </div>
      </dl>
      {keeping.extensions.map((e) => (
        <p key={e.extension}>{t(e.approved_at === undefined ? 'staff.kept.longerAsked' : 'staff.kept.longer', { date: on(e.until) })}</p>
      ))}
      {keeping.tombstones.length > 0 && <p className="quiet">{t('staff.kept.proof')}</p>}
      {keeping.files.at > 0 && (
        <p className="quiet">
          {keeping.files.left === 0 ? t('staff.kept.filesGone', { date: date(keeping.files.at) }) : t('staff.kept.filesLeft', { count: keeping.files.left, date: date(keeping.files.until) })}
        </p>
      )}
      {!keeping.write_once && <p className="quiet">{t('staff.kept.rewritable')}</p>}
    </Section>
  )
}

/** A span as it was: tenths below ten seconds, and never a minute for less than one. */
function useSpan() {
  const { t, number } = useTexts()
  return (milliseconds: number) => {
    const seconds = milliseconds / 1000
    if (seconds < 10) return t('staff.quality.seconds', { seconds: number(Math.max(0.1, seconds)) })
    const whole = Math.round(seconds)
    if (whole < 60) return t('staff.quality.seconds', { seconds: number(whole) })
    return t('staff.quality.minutes', { minutes: number(Math.floor(whole / 60)), seconds: number(whole % 60) })
  }
}

function Lost({ quality }: { quality: HearingQuality }) {
  const { t } = useTexts()
  const span = useSpan()
  if (quality.people.length === 0) return null
  return (
    <Section title={t('staff.quality.title')}>
      <ul className="stack tight">
        {quality.people.map((p, i) => (
          <li key={i}>
            <bdi>{p.names.length > 0 ? p.names.join(', ') : t('staff.quality.unknown')}</bdi>: {p.lost === 0 ? t('staff.quality.none') : t('staff.quality.lost', { span: span(p.lost) })}
            {p.lost > 0 && (
              <span className="quiet">
                {' '}
                {causes
                  .filter((cause) => (p.causes[cause] ?? 0) > 0)
                  .sort((a, b) => (p.causes[b] ?? 0) - (p.causes[a] ?? 0))
                  .map((cause) => `${t(`staff.quality.cause.${cause}`)} ${span(p.causes[cause] ?? 0)}`)
                  .join(', ')}
              </span>
            )}
          </li>
        ))}
      </ul>
    </Section>
  )
}
