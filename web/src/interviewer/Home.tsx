import { lazy, Suspense, useState } from 'react'
import type { Me, TodaysHearing } from '../api/model'
import { useTexts } from '../i18n'
import { Button, Dialog, Notice } from '../ui/controls'

const Booking = lazy(() => import('./Booking'))
const Requests = lazy(() => import('../player/Viewing').then((m) => ({ default: m.Requests })))

/** The interviewer's day. */
export function Home({ me, onOpen, onTranscript, onChanged }: { me: Me; onOpen: (hearing: TodaysHearing) => void; onTranscript: (hearing: TodaysHearing) => void; onChanged: () => void }) {
  const { t, day } = useTexts()
  const [booking, setBooking] = useState(false)
  const [booked, setBooked] = useState(false)
  const [today] = useState(() => Date.now() / 1000)
  // A booking names the own place and at least one for the applicant.
  const canBook = me.places.some((p) => p.own) && me.places.some((p) => !p.own)
  const { hearings } = me
  return (
    <main id="content" className="page stack" tabIndex={-1}>
      <div className="row spread">
        <div>
          <h1>{t('staff.today')}</h1>
          <p className="quiet">{day(today)}</p>
        </div>
        {canBook && (
          <Button look="secondary" onPress={() => setBooking(true)}>
            {t('staff.book.title')}
          </Button>
        )}
      </div>
      {booked && <Notice kind="success" title={t('staff.book.done')} live />}
      {hearings.length === 0 ? (
        <div className="card stack tight">
          <h2>{t('staff.none')}</h2>
          <p className="quiet">{t('staff.noneHelp')}</p>
        </div>
      ) : (
        <ul className="stack">
          {hearings.map((h) => (
            <HearingCard key={h.hearing} hearing={h}>
              {h.phase === 'ended' ? (
                <Button look="secondary" onPress={() => onTranscript(h)}>
                  {t('staff.transcript')}
                </Button>
              ) : (
                <Button onPress={() => onOpen(h)}>{t('staff.open')}</Button>
              )}
            </HearingCard>
          ))}
        </ul>
      )}
      <Suspense fallback={null}>
        <Requests />
      </Suspense>
      <Dialog title={t('staff.book.title')} open={booking} onClose={() => setBooking(false)}>
        <Suspense fallback={<p>{t('shared.loading')}</p>}>
          <Booking
            me={me}
            onDone={() => {
              setBooking(false)
              setBooked(true)
              onChanged()
            }}
            onCancel={() => setBooking(false)}
          />
        </Suspense>
      </Dialog>
    </main>
  )
}

/** One hearing in a list: when, whose, with whom, in which state. */
export function HearingCard({ hearing, children }: { hearing: TodaysHearing; children: React.ReactNode }) {
  const { t, time } = useTexts()
  const seconds = (text: string) => Date.parse(text) / 1000
  return (
    <li className="card hearing-card">
      <div className="when">
        <strong dir="ltr">{time(seconds(hearing.opens))}</strong>
        <span className={`tag ${hearing.phase === 'on-record' ? 'bad' : hearing.phase === 'ended' ? '' : 'info'}`}>{t(`shared.phase.${hearing.phase}`)}</span>
      </div>
      <div className="what">
        <h2>{hearing.diary === '' ? t('applicant.hearing') : <bdi>{hearing.diary}</bdi>}</h2>
        <p className="quiet small">
          {hearing.mode !== '' && `${t(`staff.book.modes.${hearing.mode}`)} · `}
          <LanguageName tag={hearing.language} />
        </p>
        <ul className="small">
          {hearing.people.map((p) => (
            <li key={`${p.role}${p.name}`}>
              {p.name} <span className="quiet">{t('shared.beside', { first: t(`shared.role.${p.role}`), second: p.place })}</span>
            </li>
          ))}
        </ul>
      </div>
      <div className="do">{children}</div>
    </li>
  )
}

function LanguageName({ tag }: { tag: string }) {
  const { locale } = useTexts()
  return new Intl.DisplayNames([locale], { type: 'language' }).of(tag) ?? tag
}
