/** Right thumb to left little finger (ISO/IEC 19794-4). */
export const fingers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as const
export type Finger = (typeof fingers)[number]

/** What each drawing shows; it stands above words and speech, which say the same. */
export type Subject =
  | 'hearing' | 'identity' | 'card' | 'other' | 'code' | 'document' | 'no-document' | 'chip' | 'reading' | 'checking' | 'join' | 'desk' | 'again' | 'ear' | 'mute'
  | 'face' | 'face-left' | 'face-right' | 'face-up' | 'two' | 'dark' | 'bright' | 'closer' | 'further' | 'centre' | 'still' | 'background' | 'photo' | 'no-camera'
  | 'applicant' | 'no-applicant' | 'other-finger' | 'no-fingers' | `finger-${Finger}`
  | 'signature' | 'scan' | 'payment' | 'print' | 'no-paper' | 'later'

const book = (
  <>
    <path d="M60 26h48a8 8 0 0 1 8 8v88a8 8 0 0 1-8 8H60z" fill="var(--brand)" stroke="none" />
    <circle cx="88" cy="66" r="16" fill="none" stroke="#fff" strokeWidth="4" />
    <path d="M72 66h32M88 50c-9 10-9 22 0 32M88 50c9 10 9 22 0 32M70 104h36" stroke="#fff" strokeWidth="4" fill="none" />
  </>
)

const openBook = (
  <>
    <path d="M20 40h76v66H20z" fill="var(--paper)" />
    <path d="M20 106h76v34H20z" fill="var(--paper)" />
    <path d="M30 52h24v34H30z" fill="var(--fi-color-highlight-light2)" />
    <circle cx="42" cy="64" r="6" fill="var(--brand)" stroke="none" />
    <path d="M32 86c1-10 19-10 20 0z" fill="var(--brand)" stroke="none" />
    <path d="M62 58h26M62 70h26M62 82h18M28 122h60M28 131h60" />
  </>
)

const arrow = <path className="moves" d="M140 20v44m-14-14 14 14 14-14" strokeWidth="8" />

const head = (
  <>
    <circle cx="90" cy="58" r="34" fill="var(--paper)" />
    <path d="M34 146c4-60 108-60 112 0z" fill="var(--brand)" stroke="none" />
  </>
)

const eyes = (x: number, y = 0) => (
  <>
    <circle cx={78 + x} cy={54 + y} r="3" fill="var(--brand)" />
    <circle cx={102 + x} cy={54 + y} r="3" fill="var(--brand)" />
    <path d={`M${80 + x} ${72 + y}q10 8 20 0`} />
  </>
)

const crossed = <path d="M24 24l132 118" stroke="var(--fi-color-alert-base)" strokeWidth="12" />

/** Root and tip of the fingers of a right hand, seen from behind, thumb first. */
const reach = [[64, 124, 28, 90], [64, 92, 54, 38], [84, 88, 84, 20], [104, 90, 114, 30], [121, 98, 142, 58]] as const

/** A hand as it is laid on glass, with the finger that is meant; 0: none. */
function hand(finger: number) {
  const left = finger > 5
  const meant = left ? finger - 6 : finger - 1
  return (
    <g transform={left ? 'translate(180 0) scale(-1 1)' : undefined}>
      {reach.map(([x, y, tx, ty]) => (
        <path key={tx} d={`M${x} ${y}L${tx} ${ty}`} strokeWidth="24" />
      ))}
      <path d="M54 96q0-14 14-14h50q14 0 14 14v22q0 32-39 32t-39-30z" fill="var(--paper)" />
      {reach.map(([x, y, tx, ty], i) => (
        <path key={tx} d={`M${x} ${y}L${tx} ${ty}`} strokeWidth="15" stroke={i === meant ? 'var(--fi-color-warning-base)' : 'var(--paper)'} />
      ))}
      {reach.map(([, , tx, ty], i) => i === meant && <circle key={tx} className="waves" cx={tx} cy={ty} r="17" strokeWidth="4" stroke="var(--fi-color-warning-base)" />)}
    </g>
  )
}

const applicant = (
  <>
    <path d="M16 30h148v104H16z" fill="var(--paper)" />
    <circle cx="52" cy="62" r="13" fill="var(--brand)" stroke="none" />
    <path d="M30 98c2-30 42-30 44 0z" fill="var(--brand)" stroke="none" />
    <path d="M92 52h54M92 68h40" />
    <path d="M30 104h120v22H30z" fill="var(--fi-color-highlight-light2)" strokeWidth="6" />
    <path d="M42 115h12m10 0h12m10 0h12m10 0h12" strokeWidth="6" />
  </>
)

const sheet = (
  <>
    <path d="M52 16h56l22 22v70H52z" fill="var(--paper)" />
    <path d="M68 44h34M68 58h46M68 72h46M68 86h30" />
  </>
)

const camera = (
  <>
    <path d="M24 50h34l12-18h40l12 18h34v82H24z" fill="var(--paper)" />
    <circle cx="90" cy="90" r="28" fill="var(--fi-color-highlight-light2)" />
    <circle cx="90" cy="90" r="12" fill="var(--brand)" />
  </>
)

const drawings: Record<Subject, React.ReactNode> = {
  identity: (
    <>
      <path d="M16 34h148v96H16z" fill="var(--paper)" />
      <circle cx="54" cy="72" r="15" fill="var(--brand)" stroke="none" />
      <path d="M28 114c2-34 50-34 52 0z" fill="var(--brand)" stroke="none" />
      <path d="m100 84 16 16 34-38" strokeWidth="10" stroke="var(--fi-color-success-base)" />
    </>
  ),
  card: (
    <>
      <path d="M16 34h148v96H16z" fill="var(--fi-color-highlight-light2)" />
      <path d="M30 50h50v64H30z" fill="var(--paper)" />
      <circle cx="55" cy="74" r="11" fill="var(--brand)" stroke="none" />
      <path d="M36 112c2-26 36-26 38 0z" fill="var(--brand)" stroke="none" />
      <path d="M96 60h52M96 78h52M96 96h32" />
    </>
  ),
  'no-document': (
    <>
      {book}
      {crossed}
    </>
  ),
  checking: (
    <>
      <circle cx="76" cy="70" r="44" fill="var(--paper)" strokeWidth="9" />
      <path d="m108 104 40 42" strokeWidth="14" />
      <path className="waves" d="M54 70h8m10 0h8m10 0h8" strokeWidth="9" />
    </>
  ),
  ear: (
    <>
      <path d="M62 132c-14-14-22-40-22-62a40 40 0 0 1 80 0c0 26-26 30-28 52-1 14-18 22-30 10z" fill="var(--paper)" strokeWidth="8" />
      <path d="M62 72a18 18 0 0 1 36 0c0 14-18 14-18 30" strokeWidth="7" />
      <path className="waves" d="M136 44c10 14 10 38 0 52M150 34c16 20 16 52 0 72" strokeWidth="7" />
    </>
  ),
  mute: (
    <>
      <path d="M24 62v36h30l34 28V34L54 62z" fill="var(--brand)" stroke="none" />
      <path d="m110 58 44 44m0-44-44 44" stroke="var(--fi-color-alert-base)" strokeWidth="11" />
    </>
  ),
  face: (
    <>
      {head}
      {eyes(0)}
    </>
  ),
  'face-left': (
    <>
      {head}
      {eyes(-12)}
      <path className="sways" d="M44 24H14m14-14L14 24l14 14" strokeWidth="8" />
    </>
  ),
  'face-right': (
    <>
      {head}
      {eyes(12)}
      <path className="sways" d="M136 24h30m-14-14 14 14-14 14" strokeWidth="8" />
    </>
  ),
  'face-up': (
    <>
      {head}
      {eyes(0, -12)}
      <path className="moves" d="M154 60V18m-14 14 14-14 14 14" strokeWidth="8" />
    </>
  ),
  two: (
    <>
      <circle cx="54" cy="60" r="22" fill="var(--brand)" stroke="none" />
      <path d="M18 136c2-52 70-52 72 0z" fill="var(--brand)" stroke="none" />
      <circle cx="126" cy="60" r="22" fill="var(--line-strong)" stroke="none" />
      <path d="M90 136c2-52 70-52 72 0z" fill="var(--line-strong)" stroke="none" />
      <path d="m104 40 46 84m0-84-46 84" stroke="var(--fi-color-alert-base)" strokeWidth="10" />
    </>
  ),
  dark: <path d="M112 22a62 62 0 1 0 34 92 52 52 0 0 1-34-92z" fill="var(--brand)" stroke="none" />,
  bright: (
    <>
      <circle cx="90" cy="80" r="30" fill="var(--fi-color-warning-base)" stroke="none" />
      <path d="M90 14v20M90 126v20M24 80h20M136 80h20M43 33l14 14M123 113l14 14M137 33l-14 14M57 113l-14 14" strokeWidth="8" stroke="var(--fi-color-warning-base)" />
    </>
  ),
  closer: (
    <>
      {head}
      <path d="M8 20l26 26m0-22v22H12M172 20l-26 26m0-22v22h22" strokeWidth="8" />
    </>
  ),
  further: (
    <>
      {head}
      <path d="M36 48L10 22m0 22V22h22M144 48l26-26m0 22V22h-22" strokeWidth="8" />
    </>
  ),
  centre: (
    <>
      {head}
      <path d="M6 90h26m-12-12 12 12-12 12M174 90h-26m12-12-12 12 12 12" strokeWidth="8" />
    </>
  ),
  still: (
    <>
      {head}
      {eyes(0)}
      <path d="M30 30v60M18 42v36M150 30v60M162 42v36" strokeWidth="7" stroke="var(--line-strong)" />
    </>
  ),
  background: (
    <>
      <path d="M14 12h152v134H14z" fill="var(--fi-color-highlight-light2)" />
      {head}
      {eyes(0)}
    </>
  ),
  photo: camera,
  'no-camera': (
    <>
      {camera}
      {crossed}
    </>
  ),
  signature: (
    <>
      <path d="M14 132h152" strokeWidth="6" />
      <path d="M24 108c14-50 30-50 26-10s14 20 24-8 8 30 22 10 14-6 22 2" />
      <path d="m104 80 46-58 18 14-46 58-24 8z" fill="var(--fi-color-highlight-light2)" />
    </>
  ),
  scan: (
    <>
      {sheet}
      <path d="M12 112h156v34H12z" fill="var(--fi-color-highlight-light2)" />
      {arrow}
    </>
  ),
  payment: (
    <>
      <path d="M14 40h112v74H14z" fill="var(--paper)" />
      <path d="M14 60h112" strokeWidth="14" stroke="var(--brand)" />
      <path d="M30 94h30" />
      <path className="waves" d="M140 54c8 14 8 34 0 48M154 44c14 20 14 48 0 68" strokeWidth="7" />
    </>
  ),
  print: (
    <>
      <path d="M20 66h140v54H20z" fill="var(--fi-color-highlight-light2)" />
      <path d="M48 16h84v50H48z" fill="var(--paper)" />
      <path d="M48 98h84v50H48z" fill="var(--paper)" />
      <path d="M62 116h56M62 130h40" />
      <circle cx="142" cy="82" r="4" fill="var(--brand)" />
    </>
  ),
  'no-paper': (
    <>
      {sheet}
      {crossed}
    </>
  ),
  later: (
    <>
      <circle cx="90" cy="80" r="60" fill="var(--paper)" strokeWidth="8" />
      <path d="M90 44v38l24 16" strokeWidth="9" />
    </>
  ),
  applicant,
  'no-applicant': (
    <>
      {applicant}
      {crossed}
    </>
  ),
  'finger-1': hand(1),
  'finger-2': hand(2),
  'finger-3': hand(3),
  'finger-4': hand(4),
  'finger-5': hand(5),
  'finger-6': hand(6),
  'finger-7': hand(7),
  'finger-8': hand(8),
  'finger-9': hand(9),
  'finger-10': hand(10),
  'other-finger': (
    <>
      {hand(0)}
      <path d="M40 8l30 30m0-30-30 30" stroke="var(--fi-color-alert-base)" strokeWidth="10" />
    </>
  ),
  'no-fingers': (
    <>
      {hand(0)}
      {crossed}
    </>
  ),
  hearing: (
    <>
      <circle cx="52" cy="52" r="18" fill="var(--brand)" stroke="none" />
      <path d="M20 118c2-40 62-40 64 0z" fill="var(--brand)" stroke="none" />
      <path d="M96 34h64v46h-34l-14 16V80H96z" fill="var(--paper)" />
      <path d="M108 50h40M108 64h26" />
    </>
  ),
  other: (
    <>
      <circle cx="90" cy="46" r="22" fill="var(--brand)" stroke="none" />
      <path d="M46 128c4-56 84-56 88 0z" fill="var(--brand)" stroke="none" />
      <path d="M20 128h140" strokeWidth="8" />
    </>
  ),
  code: (
    <>
      <path d="M34 18h86l24 24v104H34z" fill="var(--paper)" />
      <path d="M52 44h50M52 58h66M52 72h40" />
      <path d="M50 92h78v30H50z" fill="var(--fi-color-highlight-light2)" strokeWidth="6" />
      <path d="M60 107h10m8 0h10m8 0h10" strokeWidth="6" />
    </>
  ),
  document: (
    <>
      {openBook}
      <path d="M8 148h164" strokeWidth="8" />
      {arrow}
    </>
  ),
  chip: (
    <>
      {book}
      <path d="M30 142h116" strokeWidth="10" stroke="var(--brand)" />
      {arrow}
    </>
  ),
  reading: (
    <>
      {book}
      <path className="waves" d="M130 52c10 14 10 38 0 52M144 42c16 20 16 52 0 72" strokeWidth="7" />
      <path d="M30 142h116" strokeWidth="10" stroke="var(--brand)" />
    </>
  ),
  join: (
    <>
      <circle cx="90" cy="80" r="62" fill="var(--fi-color-success-base)" stroke="none" />
      <path d="m60 82 22 22 40-44" stroke="#fff" strokeWidth="14" fill="none" />
    </>
  ),
  desk: (
    <>
      <circle cx="90" cy="44" r="20" fill="var(--brand)" stroke="none" />
      <path d="M50 106c4-44 76-44 80 0z" fill="var(--brand)" stroke="none" />
      <path d="M20 106h140v34H20z" fill="var(--paper)" />
    </>
  ),
  again: (
    <>
      <path d="M134 60a50 50 0 1 0 6 34" strokeWidth="12" fill="none" />
      <path d="M142 22v42h-42" strokeWidth="12" fill="none" />
    </>
  ),
}

export function Picture({ of }: { of: Subject }) {
  return (
    <svg className="picture" data-picture={of} viewBox="0 0 180 160" fill="none" stroke="var(--brand)" strokeWidth="5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
      {drawings[of]}
    </svg>
  )
}
