import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Verdict } from '../api/words'
import { useTexts } from '../i18n'
import { Button, Field, Section } from '../ui/controls'
import { seconds, type Handed } from './desk'

const codeLength = 12

/** B15: the code on the kiosk's screen, scanned or typed, brings the visit here. */
export function TakeOver({ onCode }: { onCode: (code: string) => Promise<boolean> }) {
  const { t } = useTexts()
  const [code, setCode] = useState('')
  const plain = code.replace(/[^0-9A-Za-z]/g, '')
  return (
    <Section title={t('staff.desk.handover')}>
      <p className="quiet">{t('staff.desk.handoverHelp')}</p>
      <form
        className="row"
        onSubmit={(event) => {
          event.preventDefault()
          if (plain.length === codeLength) void onCode(plain).then((done) => done && setCode(''))
        }}
      >
        <Field label={t('staff.desk.handoverCode')} value={code} onChange={(text) => setCode(text.toUpperCase().slice(0, 20))} required />
        <Button type="submit" isDisabled={plain.length !== codeLength}>
          {t('staff.desk.takeOver')}
        </Button>
      </form>
    </Section>
  )
}

const tone: Record<Verdict, string> = { verified: 'good', asserted: 'info', undetermined: 'careful', failed: 'bad', 'not done': 'careful' }

/** What the kiosk has done already: none of it is done again. */
export function HandedOver({ handed }: { handed: Handed }) {
  const { t } = useTexts()
  const { t: any, i18n } = useTranslation()
  const named = (name: string) => (i18n.exists(`staff.check.${name}`) ? any(`staff.check.${name}` as 'staff.check.face') : name)
  const open = handed.checks.filter((c) => c.verdict !== 'verified')
  const kept = handed.checks.length - open.length
  return (
    <Section title={t('staff.desk.handed', { name: handed.name })}>
      <dl className="facts-list">
        <dt>{t('staff.desk.kiosk')}</dt>
        <dd>{handed.place}</dd>
        {handed.number !== undefined && (
          <>
            <dt>{t('staff.desk.document')}</dt>
            <dd>
              <bdi dir="ltr">
                {handed.surname} {handed.given}, {handed.birth}, {handed.number}
              </bdi>
            </dd>
          </>
        )}
        <dt>{t('staff.desk.done')}</dt>
        <dd>{handed.steps.map((s) => `${s.step} ${seconds(s.ended - s.began)}`).join(' · ')}</dd>
      </dl>
      <p>{t('staff.desk.holds', { kept, all: handed.checks.length })}</p>
      <ul className="checks">
        {open.map((c) => (
          <li key={c.name} className="row spread">
            <span>
              {named(c.name)} {c.reason !== '' && c.reason !== 'ok' && <code dir="ltr">{c.reason}</code>}
            </span>
            <span className={`tag ${tone[c.verdict]}`}>{t(`shared.verdict.${c.verdict}`)}</span>
          </li>
        ))}
      </ul>
    </Section>
  )
}
