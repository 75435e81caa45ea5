import { useEffect, useState } from 'react'
import { api, type HearingQuality, type Keeping, type LossCause } from '../api/http'
import type { HearingID } from '../api/words'
import { useTexts } from '../i18n'
import { Notice, Section } from '../ui/controls'

const aMinute = 60_000
const causes: LossCause[] = ['disconnected', 'narrow', 'loss', 'delay']

/** How long what a hearing left is kept, and how well the connections carried it (L1, M4). What cannot be had is left out. */
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
  const held = keeping.holds.some((h) => h.lifted_at === undefined)
  return (
    <Section title={t('staff.kept.title')}>
      {held && <Notice kind="info" title={t('staff.kept.held')} />}
      <dl className="stack tight">
        {keeping.classes.map((k) => (
          <div key={k.class}>
            <dt>{t(`staff.kept.class.${k.class}`)}</dt>
            <dd>
              {t(`staff.kept.state.${k.state}`, { date: on(k.state === 'erased' ? k.erased : k.until) })} <span className="quiet small">{k.source}</span>
            </dd>
          </div>
        ))}
      </dl>
      {!keeping.write_once && <p className="quiet">{t('staff.kept.rewritable')}</p>}
    </Section>
  )
}

function Lost({ quality }: { quality: HearingQuality }) {
  const { t } = useTexts()
  if (quality.people.length === 0) return null
  return (
    <Section title={t('staff.quality.title')}>
      <ul className="stack tight">
        {quality.people.map((p, i) => (
          <li key={i}>
            <bdi>{p.names.length > 0 ? p.names.join(', ') : t('staff.quality.unknown')}</bdi>:{' '}
            {p.lost === 0 ? t('staff.quality.none') : t('staff.quality.lost', { minutes: Math.max(1, Math.round(p.lost / aMinute)) })}
            {p.lost > 0 && (
              <span className="quiet">
                {' '}
                {causes
                  .filter((cause) => (p.causes[cause] ?? 0) > 0)
                  .sort((a, b) => (p.causes[b] ?? 0) - (p.causes[a] ?? 0))
                  .map((cause) => t(`staff.quality.cause.${cause}`))
                  .join(', ')}
              </span>
            )}
          </li>
        ))}
      </ul>
    </Section>
  )
}
