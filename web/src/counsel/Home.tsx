import { useState } from 'react'
import type { Me, OpenRecord, TodaysHearing } from '../api/model'
import { useTexts } from '../i18n'
import { HearingCard } from '../interviewer/Home'
import { Requests } from '../player/Viewing'
import { SelfTest } from '../room/SelfTest'
import { Button, Section } from '../ui/controls'

/** The day of counsel, an interpreter or a representative. */
export function Home({ me, onOpen, onRecord }: { me: Me; onOpen: (hearing: TodaysHearing, media: MediaStream | null) => void; onRecord: (record: OpenRecord) => void }) {
  const { t, moment } = useTexts()
  const [media, setMedia] = useState<MediaStream | null>(null)
  const hearings = me.hearings.filter((h) => h.phase !== 'ended')
  const { records } = me
  return (
    <main id="content" className="page stack" tabIndex={-1}>
      <h1>{t('staff.today')}</h1>
      {hearings.length === 0 ? (
        <div className="card">
          <p>{t('staff.none')}</p>
        </div>
      ) : (
        <>
          <ul className="stack">
            {hearings.map((h) => (
              <HearingCard key={h.hearing} hearing={h}>
                <Button onPress={() => onOpen(h, media)}>{t('staff.join')}</Button>
              </HearingCard>
            ))}
          </ul>
          <SelfTest roles={hearings[0].seats.map((s) => s.role)} onMedia={setMedia} />
        </>
      )}
      <Section title={t('staff.counsel.records')}>
        {records.length === 0 ? (
          <p className="quiet">{t('staff.counsel.noRecords')}</p>
        ) : (
          <ul className="stack tight">
            {records.map((r) => (
              <li key={r.record} className="row spread">
                <span>
                  <strong>{t('shared.record.version', { version: r.version })}</strong> <span className="quiet">{moment(r.delivered)}</span>
                </span>
                <Button look="secondary" onPress={() => onRecord(r)}>
                  {t('staff.counsel.read')}
                </Button>
              </li>
            ))}
          </ul>
        )}
      </Section>
      {me.person?.roles.includes('counsel') === true && <Requests of={me.hearings.filter((h) => h.phase === 'ended').map((h) => h.hearing)} />}
    </main>
  )
}
