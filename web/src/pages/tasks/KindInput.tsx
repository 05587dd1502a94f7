import {
  Checkbox,
  Group,
  NumberInput,
  SegmentedControl,
  Stack,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { CsvColumn } from "./CsvColumn";
import type { Draft, Errors } from "./draft";
import { checkNumber, checkNumbers, checkUrls } from "./inputs";

export interface FormProps {
  draft: Draft;
  errors: Errors;
  change: (more: Partial<Draft>) => void;
}

const mono = { input: { fontFamily: "var(--mantine-font-family-monospace)" } };

/** The input's fields, made for each built-in kind; JSON for any other. */
export function KindInput(props: FormProps) {
  switch (props.draft.kind) {
    case "factorize":
      return <FactorizeInput {...props} />;
    case "mean":
      return <MeanInput {...props} />;
    case "crawl":
      return <CrawlInput {...props} />;
    case "sleep":
      return <SleepInput {...props} />;
    default:
      return <JsonInput {...props} />;
  }
}

function Hint({ children }: { children: React.ReactNode }) {
  return (
    <Text size="sm" c="dimmed" mt={-8} aria-live="polite">
      {children}
    </Text>
  );
}

function FactorizeInput({ draft, errors, change }: FormProps) {
  const n = checkNumber(draft.number);
  return (
    <>
      <TextInput
        label="Number"
        description="A whole number from 2 on, of up to 40 digits"
        inputMode="numeric"
        placeholder="600851475143"
        styles={mono}
        value={draft.number}
        error={errors.number ?? (draft.number && !n.ok ? n.message : undefined)}
        onChange={(e) => change({ number: e.currentTarget.value })}
      />
      {n.ok && (
        <Hint>
          {n.value.digits} {n.value.digits === 1 ? "digit" : "digits"}.{" "}
          {n.value.tries !== undefined
            ? `At most ${n.value.tries.toLocaleString()} divisors to try; parts can share them.`
            : "Too large to be cut into parts; one worker searches for factors by Pollard’s method, whose time depends on luck."}
        </Hint>
      )}
      <Checkbox
        label="List all divisors too"
        description="For numbers of up to 15 digits"
        checked={draft.divisors}
        onChange={(e) => change({ divisors: e.currentTarget.checked, number: draft.number })}
      />
    </>
  );
}

function MeanInput(props: FormProps) {
  const { draft, errors, change } = props;
  const typed = checkNumbers(draft.numbers);
  return (
    <Stack gap="sm">
      <SegmentedControl
        aria-label="Where the numbers come from"
        data={[
          { value: "typed", label: "Type or paste" },
          { value: "csv", label: "File" },
        ]}
        value={draft.source}
        onChange={(v) => change({ source: v === "csv" ? "csv" : "typed" })}
      />
      {draft.source === "csv" ? (
        <CsvColumn {...props} />
      ) : (
        <>
          <Textarea
            label="Numbers"
            description="Blanks, commas, semicolons or line breaks between them"
            placeholder="1 2.5 -3e4"
            autosize
            minRows={4}
            maxRows={14}
            styles={mono}
            value={draft.numbers}
            error={errors.numbers ?? (draft.numbers.trim() && !typed.ok ? typed.message : undefined)}
            onChange={(e) => change({ numbers: e.currentTarget.value })}
          />
          {typed.ok && <Hint>{typed.value.length.toLocaleString()} numbers.</Hint>}
        </>
      )}
    </Stack>
  );
}

function CrawlInput({ draft, errors, change }: FormProps) {
  const urls = checkUrls(draft.urls);
  return (
    <>
      <Textarea
        label="Addresses"
        description="Where to begin, one a line; http and https"
        placeholder="https://example.org/"
        autosize
        minRows={4}
        maxRows={14}
        styles={mono}
        value={draft.urls}
        error={errors.urls ?? (draft.urls.trim() && !urls.ok ? urls.message : undefined)}
        onChange={(e) => change({ urls: e.currentTarget.value })}
      />
      {urls.ok && (
        <Hint>
          {urls.value.urls.length.toLocaleString()} {urls.value.urls.length === 1 ? "address" : "addresses"}
          {urls.value.doubles > 0 && `, ${urls.value.doubles.toLocaleString()} given twice and left out`}.
        </Hint>
      )}
      <Group align="flex-start">
        <NumberInput
          label="Pages at most"
          min={1}
          max={1000}
          w={160}
          value={draft.maxPages}
          error={errors.maxPages}
          onChange={(maxPages) => change({ maxPages })}
        />
        <Checkbox
          mt={32}
          label="Stay on each address’s own site"
          checked={draft.sameHost}
          onChange={(e) => change({ sameHost: e.currentTarget.checked })}
        />
      </Group>
    </>
  );
}

function SleepInput({ draft, errors, change }: FormProps) {
  return (
    <NumberInput
      label="How long"
      suffix=" s"
      min={0}
      max={86_400}
      decimalScale={3}
      w={200}
      value={draft.seconds}
      error={errors.seconds}
      onChange={(seconds) => change({ seconds })}
    />
  );
}

function JsonInput({ draft, errors, change }: FormProps) {
  return (
    <Textarea
      label="Input"
      description="Any JSON; empty means null"
      placeholder={'{"name": "value"}'}
      autosize
      minRows={5}
      maxRows={24}
      spellCheck={false}
      styles={mono}
      value={draft.json}
      error={errors.json}
      onChange={(e) => change({ json: e.currentTarget.value })}
    />
  );
}
