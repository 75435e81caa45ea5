import { getLocalTimeZone, now, parseDate, toCalendarDateTime, today, type CalendarDate, type CalendarDateTime } from '@internationalized/date'
import { useState, type SyntheticEvent } from 'react'
import { DateField, DateInput, DateSegment, Label, type DateValue } from 'react-aria-components'
import { api } from '../api/http'
import type { Me } from '../api/model'
import { Problem } from '../api/problem'
import type { Document, Mode } from '../api/words'
import { useTexts } from '../i18n'
import { Button, Choice, Field, Radios } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { readBorn, readCard } from './born'

const spoken = ['ar', 'so', 'en', 'fa', 'prs', 'ku', 'ru', 'uk', 'tr', 'fi'] as const
type Spoken = (typeof spoken)[number]
const length = { hours: 4 }

/** Books a hearing for a case: the least that a hearing needs. A remote one is justified in writing (A5). */
export default function Booking({ me, onDone, onCancel }: { me: Me; onDone: () => void; onCancel: () => void }) {
  const { t } = useTexts()
  const { places } = me
  const [diary, setDiary] = useState('')
  const [lodged, setLodged] = useState<CalendarDate>(today(getLocalTimeZone()))
  const [applicant, setApplicant] = useState('')
  const [born, setBorn] = useState('')
  const [card, setCard] = useState('')
  const [place, setPlace] = useState<string>(places.find((p) => !p.own)?.device ?? '')
  const [language, setLanguage] = useState<Spoken>('ar')
  const [when, setWhen] = useState<CalendarDateTime>(toCalendarDateTime(now(getLocalTimeZone())).set({ minute: 0, second: 0, millisecond: 0 }).add({ hours: 1 }))
  const [mode, setMode] = useState<Mode>('remote')
  const [justification, setJustification] = useState('')
  const [tried, setTried] = useState(false)
  const [sending, setSending] = useState(false)
  const [problem, setProblem] = useState<Document | null>(null)

  const needs = (text: string) => (tried && text.trim() === '' ? { wrong: t('staff.book.needed') } : {})
  const known = born.trim() === '' ? undefined : readBorn(born, today(getLocalTimeZone()))
  const number = card.trim() === '' ? undefined : readCard(card)
  const complete = diary.trim() !== '' && known !== null && number !== null && applicant.trim() !== '' && (mode === 'in-person' || justification.trim() !== '')

  const submit = async (event: SyntheticEvent) => {
    event.preventDefault()
    setTried(true)
    const seat = places.find((p) => p.device === place)
    const own = places.find((p) => p.own)
    if (!complete || seat === undefined || own === undefined || me.person === null) return
    setSending(true)
    setProblem(null)
    try {
      const made = await api.addCase({ diary: diary.trim(), lodged: lodged.toString(), language })
      const at = (moment: CalendarDateTime) => moment.toDate(getLocalTimeZone()).toISOString()
      await api.book({
        case: made.case,
        language,
        mode,
        ...(mode === 'remote' ? { justification: justification.trim() } : {}),
        opens: at(when),
        closes: at(when.add(length)),
        participants: [
          { role: 'interviewer', name: me.person.name, subject: me.person.subject, device: own.device, premises: own.premises },
          { role: 'applicant', name: applicant.trim(), device: seat.device, premises: seat.premises, ...(known === undefined ? {} : { born: known }), ...(number === undefined ? {} : { card: number }) },
        ],
      })
      onDone()
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    } finally {
      setSending(false)
    }
  }

  return (
    <form className="stack" onSubmit={(e) => void submit(e)} noValidate>
      <p className="quiet">{t('staff.book.help')}</p>
      <ProblemNotice problem={problem} />
      <Field label={t('staff.book.diary')} help={t('staff.book.diaryHelp')} value={diary} onChange={setDiary} required first {...needs(diary)} />
      <Dates label={t('staff.book.lodged')} granularity="day" value={lodged} onChange={(v) => setLodged(parseDate(v.toString().slice(0, 10)))} />
      <Field label={t('staff.book.applicant')} value={applicant} onChange={setApplicant} required {...needs(applicant)} />
      <Field label={t('staff.book.born')} help={t('staff.book.bornHelp')} value={born} onChange={setBorn} {...(tried && known === null ? { wrong: t('staff.book.bornWrong') } : {})} />
      <Field label={t('staff.book.card')} help={t('staff.book.cardHelp')} value={card} onChange={setCard} {...(tried && number === null ? { wrong: t('staff.book.cardWrong') } : {})} />
      <Choice label={t('staff.knock.place')} value={place} onChange={setPlace} options={places.filter((p) => !p.own).map((p) => ({ id: p.device, text: `${p.label}, ${p.place}` }))} />
      <Choice label={t('staff.book.language')} value={language} onChange={setLanguage} options={spoken.map((s) => ({ id: s, text: t(`staff.book.languages.${s}`) }))} />
      <Dates label={t('staff.book.when')} granularity="minute" value={when} onChange={(v) => setWhen(toCalendarDateTime(v))} />
      <Radios label={t('staff.book.mode')} value={mode} onChange={setMode} options={(['remote', 'in-person'] as const).map((m) => ({ id: m, text: t(`staff.book.modes.${m}`) }))} />
      {mode === 'remote' && <Field label={t('staff.book.justification')} help={t('staff.book.justificationHelp')} value={justification} onChange={setJustification} lines required {...needs(justification)} />}
      <div className="row">
        <Button type="submit" isPending={sending}>
          {t('staff.book.submit')}
        </Button>
        <Button look="quiet" onPress={onCancel}>
          {t('shared.cancel')}
        </Button>
      </div>
    </form>
  )
}

function Dates({ label, value, onChange, granularity }: { label: string; value: DateValue; onChange: (value: DateValue) => void; granularity: 'day' | 'minute' }) {
  return (
    <DateField className="field" value={value} onChange={(v) => (v === null ? undefined : onChange(v))} granularity={granularity} hourCycle={24} shouldForceLeadingZeros>
      <Label className="label">{label}</Label>
      <DateInput className="date">{(segment) => <DateSegment segment={segment} className="segment" />}</DateInput>
    </DateField>
  )
}
