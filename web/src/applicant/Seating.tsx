import { useState } from 'react'
import { gateway } from '../api/http'
import type { Me } from '../api/model'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { fi } from '../i18n/fi'
import { viewings } from '../player/api'
import { Button, Field, Section } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'

/**
 * At a listening station an interviewer says who sits there (H7): that signs
 * permission and identity in one, and signs the interviewer out, so that only
 * the applicant is left at the device.
 */
export function Seating({ me, onSeated }: { me: Me; onSeated: () => void }) {
  const { t } = useTexts()
  const [hearing, setHearing] = useState<string>(me.hearings.findLast((h) => h.role === 'interviewer' && h.phase === 'ended')?.hearing ?? '')
  const [how, setHow] = useState('')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Document | null>(null)
  const seat = async () => {
    setBusy(true)
    try {
      await viewings.decide(await viewings.seat(hearing.trim(), fi.shared.player.own.appealPurpose), true, how.trim())
      await gateway.signInEnd()
      onSeated()
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
    setBusy(false)
  }
  return (
    <Section title={t('shared.player.own.seat')}>
      <p>{t('shared.player.own.seatHelp')}</p>
      <ProblemNotice problem={problem} />
      <Field label={t('shared.player.hearing')} help={t('shared.player.hearingHelp')} value={hearing} onChange={setHearing} required />
      <Field label={t('shared.player.own.seatHow')} value={how} onChange={setHow} required />
      <div>
        <Button isDisabled={busy || hearing.trim() === '' || how.trim() === ''} onPress={() => void seat()}>
          {t('shared.player.own.seatGive')}
        </Button>
      </div>
    </Section>
  )
}
