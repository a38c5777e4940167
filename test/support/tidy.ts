import { posix } from 'node:path'
import ts from 'typescript'

/** The rules of the house that no compiler or linter sees. Source: design §11, CONTRIBUTING.md. */
export interface SourceFile {
  /** From the project's root: src/ledger/post.ts */
  path: string
  text: string
}

export type Check = (file: SourceFile) => string[]

/** Each area may import from the rows above its own, never from its own row's neighbours. */
const ROWS: readonly (readonly string[])[] = [
  ['kernel'],
  ['store'],
  ['protocols', 'pricing'],
  ['ledger'],
  ['credits'],
  ['access'],
  ['gateway', 'billing', 'reporting', 'notify'],
  ['reconcile'],
  ['admin', 'portal', 'ops'],
  ['app'],
]
/** These read no store: protocols are pure, the demo is a process of its own. */
const ONLY_KERNEL = ['protocols', 'demo']
const DRIVERS: readonly { package: RegExp; areas: readonly string[] }[] = [
  { package: /^(pg|@electric-sql\/pglite|ioredis)($|\/)/, areas: ['store'] },
  { package: /^stripe($|\/)/, areas: ['billing', 'reporting'] },
]
const FUNCTION_LINES_MAX = 60
const FILE_LINES_MAX = 300
const LINE_CHARS_MAX = 100

/** The folder below src/; files of src/ itself (main, cli, config, …) are the app. */
function areaOf(path: string): string {
  const [, first = '', second] = path.split('/')
  return second === undefined ? 'app' : first
}

const rowOf = (area: string): number => ROWS.findIndex((row) => row.includes(area))

function parse(file: SourceFile): ts.SourceFile {
  return ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true)
}

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node)
  node.forEachChild((child) => {
    visit(child, see)
  })
}

const lineOf = (source: ts.SourceFile, position: number): number =>
  source.getLineAndCharacterOfPosition(position).line + 1

/** Every module named by import, export … from, import() and import types. */
function importsOf(file: SourceFile): string[] {
  const found: string[] = []
  const add = (node: ts.Node | undefined) => {
    if (node !== undefined && ts.isStringLiteralLike(node)) found.push(node.text)
  }
  visit(parse(file), (node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier)
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0])
    }
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal)
  })
  return found
}

export const importOrder: Check = (file) => {
  const area = areaOf(file.path)
  const offences: string[] = []
  for (const specifier of importsOf(file)) {
    if (!specifier.startsWith('.')) continue
    const target = posix.join(posix.dirname(file.path), specifier)
    if (!target.startsWith('src/')) {
      if (!/^(package\.json|migrations\/)/.test(target)) offences.push(`${specifier} leaves src/`)
      continue
    }
    const other = areaOf(target)
    if (other === area) continue
    const allowed = ONLY_KERNEL.includes(area) ? other === 'kernel' : rowOf(other) < rowOf(area)
    if (other === 'demo' || !allowed) offences.push(`${area} imports ${other} (${specifier})`)
  }
  if (area !== 'demo' && rowOf(area) === -1) offences.push(`${area}/ has no place in design §11`)
  return offences
}

export const driversInTheirPlace: Check = (file) =>
  importsOf(file).flatMap((specifier) =>
    DRIVERS.filter((driver) => driver.package.test(specifier))
      .filter((driver) => !driver.areas.includes(areaOf(file.path)))
      .map((driver) => `imports ${specifier} outside ${driver.areas.join(', ')}`),
  )

export const environmentInConfigOnly: Check = (file) => {
  if (file.path === 'src/config.ts') return []
  const source = parse(file)
  const offences: string[] = []
  visit(source, (node) => {
    const named = ts.isPropertyAccessExpression(node) && node.name.text === 'env'
    const indexed =
      ts.isElementAccessExpression(node) && node.argumentExpression.getText() === "'env'"
    if ((named || indexed) && /(^|\.)process$/.test(node.expression.getText())) {
      offences.push(`line ${lineOf(source, node.getStart())} reads process.env`)
    }
    const imported = ts.isImportSpecifier(node) && (node.propertyName ?? node.name).text === 'env'
    if (imported && node.parent.parent.parent.moduleSpecifier.getText().endsWith("process'")) {
      offences.push('imports env')
    }
    if (ts.isBindingElement(node) && node.name.getText() === 'env') {
      const declared = node.parent.parent
      if (ts.isVariableDeclaration(declared) && declared.initializer?.getText() === 'process') {
        offences.push('takes env from process')
      }
    }
  })
  return offences
}

export const sizes: Check = (file) => {
  const lines = file.text.replace(/\n$/, '').split('\n')
  const offences: string[] = []
  if (lines.length > FILE_LINES_MAX) offences.push(`${lines.length} lines`)
  lines.forEach((line, index) => {
    const chars = Array.from(line).length
    if (chars > LINE_CHARS_MAX) offences.push(`line ${index + 1} has ${chars} characters`)
  })
  if (!file.path.endsWith('.ts')) return offences
  const source = parse(file)
  visit(source, (node) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return
    const first = lineOf(source, node.getStart())
    const length = lineOf(source, node.getEnd()) - first + 1
    if (length > FUNCTION_LINES_MAX) offences.push(`function at line ${first}: ${length} lines`)
  })
  return offences
}

export const noWayAround: Check = (file) => {
  const source = parse(file)
  const offences: string[] = []
  visit(source, (node) => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) {
      offences.push(`line ${lineOf(source, node.getStart())} says any`)
    }
  })
  return [...offences, ...forbiddenWords(file)]
}

const FORBIDDEN = /@ts-(?:ignore|nocheck|expect-error)|eslint-disable|\b(?:TODO|FIXME|XXX|HACK)\b/

export const forbiddenWords: Check = (file) =>
  file.text.split('\n').flatMap((line, index) => {
    const word = FORBIDDEN.exec(line)
    return word === null ? [] : [`line ${index + 1} says ${word[0]}`]
  })

export const kebabCase: Check = (file) =>
  file.path
    .split('/')
    .filter((part) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/.test(part))
    .map((part) => `${part} is not kebab-case`)

/** "design §2.5, §3" or "providers.md §1 and §4", also where a comment's line ends within. */
const CITATION = /\b(design|[\w/-]+\.md)((?:(?: \([^)]*\))?(?:,? (?:and )?|–)?§\d+(?:\.\d+)?)+)/g

/** `papers`: a text by the name it is cited by. Its sections begin with "## §n ". */
export const citations =
  (papers: ReadonlyMap<string, string>): Check =>
  ({ text }) =>
    Array.from(text.replace(/\n *(?:\*|--|\/\/) */g, ' ').matchAll(CITATION)).flatMap(
      ([, name = '', places = '']) => {
        const sections = (papers.get(name) ?? '').split(/^## §/m)
        return Array.from(places.matchAll(/§(\d+)(?:\.(\d+))?/g)).flatMap(([place, n, step]) => {
          const section = sections.find((each) => each.startsWith(`${n} `)) ?? ''
          const isThere = step === undefined ? section !== '' : section.includes(`\n${step}. `)
          return isThere ? [] : [`cites ${name} ${place}, which is not there`]
        })
      },
    )

/** SQL and Lua say in their first line what they do. */
export const headerComment: Check = (file) => {
  // Redis wants its own first line ("#!lua flags=…") before anything else.
  const first = file.text.split('\n').find((line) => !line.startsWith('#!'))
  return first !== undefined && /^-- *\S/.test(first) ? [] : ['has no header comment']
}
