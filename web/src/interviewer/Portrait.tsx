import { useEffect, useState } from 'react'
import { send } from '../api/session'
import type * as words from '../api/words'
import { useTexts } from '../i18n'
import { Button, Section } from '../ui/controls'

interface Taken {
  format: string
  image: string | null
}

/**
 * The picture that the kiosk took, beside the live one: the interviewer says who
 * it is (B21). It is destroyed when that is said; without one nothing is shown.
 */
export function Portrait({ hearing, participant, name }: { hearing: words.HearingID; participant: words.ParticipantID; name: string }) {
  const { t } = useTexts()
  const [address, setAddress] = useState('')
  const path = `/api/hearings/${encodeURIComponent(hearing)}/portraits/${encodeURIComponent(participant)}`
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
  if (address === '') return null
  const confirm = () => void send<undefined>('POST', `${path}/confirmed`).then(() => setAddress(''), () => undefined)
  return (
    <Section title={t('staff.room.portrait.title')} className="card stack tight">
      <img src={address} alt={t('staff.room.portrait.alt', { name })} width={160} />
      <p className="small">{t('staff.room.portrait.help')}</p>
      <div>
        <Button look="secondary" onPress={confirm}>
          {t('staff.room.portrait.confirm', { name })}
        </Button>
      </div>
    </Section>
  )
}
