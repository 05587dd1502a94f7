import { Autocomplete, Button, Modal, Select, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDebouncedValue, useDisclosure } from "@mantine/hooks";
import { useState } from "react";
import { adminActions, adminKeys, useAllGroups } from "../../api/queries/admin";
import { useChange } from "../../api/queries/groups";
import { Form } from "../../ui/Form";
import { useSubmit } from "../../ui/useSubmit";

/** Pauses a queue that is not listed, as nothing of its kind waits yet. */
export function PauseQueue() {
  const [opened, { open, close }] = useDisclosure();
  return (
    <>
      <Button variant="default" onClick={open}>
        Pause another queue…
      </Button>
      <Modal opened={opened} onClose={close} title="Pause a queue" centered>
        <Ask close={close} />
      </Modal>
    </>
  );
}

const kinds = ["crawl", "echo", "factorize", "mean", "sleep"]; // those every worker brings

function Ask({ close }: { close: () => void }) {
  const [typed, setTyped] = useState("");
  const [q] = useDebouncedValue(typed, 250);
  const groups = useAllGroups(q).data?.pages.flatMap((p) => p.items) ?? [];
  const pause = useChange(adminActions.pause, adminKeys.queues);
  const form = useForm({
    initialValues: { group: "", kind: "" },
    validate: {
      group: (v) => (v ? null : "Choose a group"),
      kind: (v) =>
        /^[a-z0-9][a-z0-9._-]{0,63}$/.test(v) ? null : "Small letters, digits, dots, dashes and underscores",
    },
  });
  const state = useSubmit(form, async (values) => {
    await pause.mutateAsync(values);
    close();
  });
  return (
    <Form state={state} send="Pause it" close={close}>
      <Text size="sm">
        No task of this kind starts in this group until the queue is resumed. What runs goes on, and tasks can
        still be submitted.
      </Text>
      <Select
        label="Group"
        placeholder="Type how its name begins"
        searchable
        data-autofocus
        searchValue={typed}
        onSearchChange={setTyped}
        filter={({ options }) => options} // the server has searched
        nothingFoundMessage="No group begins so"
        data={groups.map((g) => ({ value: g.id, label: g.name }))}
        {...form.getInputProps("group")}
      />
      <Autocomplete
        label="Kind"
        placeholder="Such as crawl"
        maxLength={64}
        data={kinds}
        {...form.getInputProps("kind")}
      />
    </Form>
  );
}
