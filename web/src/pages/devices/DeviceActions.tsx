import { Button, Group, Modal, Stack, TagsInput, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { inWords } from "../../api/error";
import { type Device, useUpdateDevice } from "../../api/queries/devices";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Problem } from "../../ui/Problem";
import { useSubmit } from "../../ui/useSubmit";

/** What a device is called by people. */
export const nameOf = (d: { name: string; device_id: string }): string => d.name || d.device_id;

/** What admins of the group can do to a device. */
export function DeviceActions({ device, size }: { device: Device; size: "xs" | "sm" }) {
  const update = useUpdateDevice(device);
  const [editing, { open, close }] = useDisclosure();
  const name = nameOf(device);
  const letIn = () =>
    update({ state: "active" }).catch((e: unknown) =>
      notifications.show({ color: "red", title: "That did not work", message: inWords(e) }),
    );
  return (
    <Group gap="xs" justify="flex-end" wrap="nowrap">
      {device.state !== "active" && (
        <Button
          size={size}
          onClick={() => void letIn()}
          aria-label={`${device.state === "pending" ? "Accept" : "Use again"}: ${name}`}
        >
          {device.state === "pending" ? "Accept" : "Use again"}
        </Button>
      )}
      <Button size={size} variant="default" onClick={open} aria-label={`Edit: ${name}`}>
        Edit
      </Button>
      {device.state !== "retired" && <Retire device={device} size={size} />}
      <Modal opened={editing} onClose={close} title={name} centered>
        <Edit device={device} close={close} />
      </Modal>
    </Group>
  );
}

function Retire({ device, size }: { device: Device; size: "xs" | "sm" }) {
  const update = useUpdateDevice(device);
  const pending = device.state === "pending";
  return (
    <ConfirmButton
      size={size}
      variant="default"
      title={pending ? `Reject ${nameOf(device)}?` : `Retire ${nameOf(device)}?`}
      confirm={pending ? "Reject" : "Retire"}
      message={
        <>
          It is left out of the fleet, of failures and of alerts. What it reports is still kept, and you can
          use it again from the list of retired devices.
        </>
      }
      action={() => update({ state: "retired" })}
    >
      {pending ? "Reject…" : "Retire…"}
    </ConfirmButton>
  );
}

function Edit({ device, close }: { device: Device; close: () => void }) {
  const update = useUpdateDevice(device);
  const form = useForm({
    initialValues: { name: device.name, tags: device.tags },
    validate: { tags: (tags) => (tags.some((t) => t.length > 32) ? "At most 32 characters each" : null) },
  });
  const { busy, error, submit } = useSubmit(form, async (values) => {
    await update(values);
    close();
  });
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <Problem error={error} />
        <TextInput
          label="Name"
          description="Shown in place of its id"
          placeholder={device.device_id}
          maxLength={64}
          data-autofocus
          {...form.getInputProps("name")}
        />
        <TagsInput
          label="Tags"
          description="Enter ends one; at most 16"
          maxTags={16}
          clearable
          clearButtonProps={{ "aria-label": "Take all tags away" }}
          {...form.getInputProps("tags")}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={busy}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
