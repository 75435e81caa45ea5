import { useState } from 'react'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { Button, Field, Notice, Section } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { desk, likeCertificate, type Certificate } from './desk'

type Answer = Certificate | 'altered' | 'unknown'

/** B16: the code of a certificate that somebody shows, scanned or typed, and whether it was made here. */
export function CheckCertificate() {
  const { t } = useTexts()
  const [code, setCode] = useState('')
  const [asking, setAsking] = useState(false)
  const [answer, setAnswer] = useState<Answer | null>(null)
  const [problem, setProblem] = useState<Document | null>(null)
  const check = async () => {
    setAsking(true)
    setAnswer(null)
    setProblem(null)
    try {
      setAnswer(await desk.certificate(code))
      setCode('') // the next scan begins anew
    } catch (thrown) {
      const { document } = Problem.of(thrown)
      if (document.code === 'evidence') {
        setAnswer(likeCertificate(code) ? 'altered' : 'unknown')
        setCode('')
      } else {
        setProblem(document)
      }
    }
    setAsking(false)
  }
  return (
    <Section title={t('staff.desk.certificate')}>
      <form
        className="row"
        onSubmit={(event) => {
          event.preventDefault()
          if (code.trim() !== '' && !asking) void check()
        }}
      >
        <Field
          label={t('staff.desk.certificateCode')}
          help={t('staff.desk.certificateHelp')}
          value={code}
          onChange={(text) => {
            setCode(text)
            setAnswer(null)
          }}
          required
        />
        <Button type="submit" isDisabled={code.trim() === '' || asking}>
          {t('staff.desk.check')}
        </Button>
      </form>
      <div role="status">{answer !== null && <Verdict answer={answer} />}</div>
      <ProblemNotice problem={problem} />
    </Section>
  )
}

function Verdict({ answer }: { answer: Answer }) {
  const { t, moment } = useTexts()
  if (answer === 'altered' || answer === 'unknown') {
    return (
      <Notice kind="alert" title={t(`staff.desk.${answer}`)}>
        <p>{t(`staff.desk.${answer}Help`)}</p>
      </Notice>
    )
  }
  return (
    <Notice kind="success" title={t('staff.desk.valid')}>
      <dl className="facts-list">
        <dt>{t('staff.desk.person')}</dt>
        <dd>
          <bdi>{answer.name}</bdi>
        </dd>
        <dt>{t('staff.diary')}</dt>
        <dd>
          <bdi>{answer.diary}</bdi>
        </dd>
        <dt>{t('staff.desk.issued')}</dt>
        <dd>{moment(answer.issued)}</dd>
      </dl>
      <p>{t('staff.desk.validHelp')}</p>
    </Notice>
  )
}
