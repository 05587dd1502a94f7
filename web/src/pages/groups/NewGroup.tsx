import { Modal, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useNavigate } from "react-router";
import { useCreateGroup } from "../../api/queries/groups";
import { Form } from "../../ui/Form";
import { useSubmit } from "../../ui/useSubmit";

/** Asks for the name of a new group, then opens it. */
export function NewGroup({ opened, close }: { opened: boolean; close: () => void }) {
  const navigate = useNavigate();
  const create = useCreateGroup();
  const form = useForm({
    initialValues: { name: "", description: "" },
    validate: { name: (v) => (v.trim().length >= 3 && v.trim().length <= 50 ? null : "3 to 50 characters") },
  });
  const state = useSubmit(form, async (body) => {
    const group = await create.mutateAsync(body);
    form.reset();
    close();
    await navigate(`/groups/${group.id}`);
  });
  return (
    <Modal opened={opened} onClose={close} title="New group" centered>
      <Form state={state} send="Make the group" close={close}>
        <TextInput label="Name" required maxLength={50} data-autofocus {...form.getInputProps("name")} />
        <Textarea
          label="Description"
          description="What the group computes, for its members"
          maxLength={300}
          autosize
          minRows={2}
          {...form.getInputProps("description")}
        />
      </Form>
    </Modal>
  );
}
